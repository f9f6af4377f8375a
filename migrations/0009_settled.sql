-- Conflicts somebody settled by leaving the address as it is: the machine seen there may go on
-- being seen, until what is written of the address is something else.
CREATE TABLE address_settled (
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    address    BYTEA NOT NULL,
    -- The MAC it was seen with; empty when that is not known.
    mac        TEXT NOT NULL,
    -- Whose the address was then, and with which MAC.
    written    TEXT NOT NULL,
    settled_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, address, mac),
    FOREIGN KEY (tenant_id, address) REFERENCES address (tenant_id, address) ON DELETE CASCADE
);
