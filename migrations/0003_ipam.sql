-- Addresses are sixteen bytes, the highest first; IPv4 is ::ffff:a.b.c.d. Both databases compare
-- them byte by byte, which is the order of the addresses.

CREATE TABLE subnet (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    name        TEXT NOT NULL,
    name_key    TEXT NOT NULL,
    first_key   BYTEA NOT NULL,
    last_key    BYTEA NOT NULL,
    -- The prefix length as people write it: of 32 or of 128.
    length      BIGINT NOT NULL,
    -- The smallest subnet around it.
    parent_id   TEXT REFERENCES subnet (id),
    vlan        BIGINT CHECK (vlan BETWEEN 1 AND 4094),
    gateway     BYTEA,
    site        TEXT NOT NULL,
    site_key    TEXT NOT NULL,
    dns         TEXT NOT NULL,
    description TEXT NOT NULL,
    version     BIGINT NOT NULL DEFAULT 1,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    UNIQUE (tenant_id, name_key),
    -- In this order the smallest subnet around an address is found by one step.
    UNIQUE (tenant_id, first_key, length)
);
CREATE INDEX subnet_parent ON subnet (tenant_id, parent_id, first_key);
CREATE INDEX subnet_site ON subnet (tenant_id, site_key);

-- Ranges of a subnet as an administrator laid them down. None is overlapped by another.
CREATE TABLE pool (
    id        TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenant (id),
    subnet_id TEXT NOT NULL REFERENCES subnet (id) ON DELETE CASCADE,
    kind      TEXT NOT NULL CHECK (kind IN ('static', 'dhcp', 'excluded')),
    first_key BYTEA NOT NULL,
    last_key  BYTEA NOT NULL,
    -- Not laid down but computed: what the static pools leave to DHCP.
    derived   BOOLEAN NOT NULL,
    UNIQUE (subnet_id, first_key)
);
CREATE INDEX pool_tenant ON pool (tenant_id, first_key);

-- What is free in a pool, as ranges: the pool without the addresses that have a row, without
-- smaller subnets inside, gateways and the addresses nobody may have. A free address has no row.
CREATE TABLE gap (
    tenant_id TEXT NOT NULL REFERENCES tenant (id),
    first_key BYTEA NOT NULL,
    last_key  BYTEA NOT NULL,
    -- Addresses in it, at most 2^62.
    size      BIGINT NOT NULL,
    subnet_id TEXT NOT NULL REFERENCES subnet (id) ON DELETE CASCADE,
    pool_id   TEXT NOT NULL REFERENCES pool (id) ON DELETE CASCADE,
    kind      TEXT NOT NULL CHECK (kind IN ('static', 'dhcp')),
    PRIMARY KEY (tenant_id, first_key)
);
CREATE INDEX gap_subnet ON gap (subnet_id, kind, first_key);
CREATE INDEX gap_kind ON gap (tenant_id, kind, first_key);
CREATE INDEX gap_pool ON gap (pool_id, first_key);

-- Numbers the addresses, for the search index.
CREATE TABLE address_sequence (
    id   BIGINT PRIMARY KEY CHECK (id = 1),
    last BIGINT NOT NULL
);
INSERT INTO address_sequence (id, last) VALUES (1, 0);

CREATE TABLE address (
    tenant_id    TEXT NOT NULL REFERENCES tenant (id),
    address      BYTEA NOT NULL,
    id           BIGINT NOT NULL UNIQUE,
    -- The smallest subnet around it; none for an orphan.
    subnet_id    TEXT REFERENCES subnet (id),
    status       TEXT NOT NULL CHECK (status IN ('available', 'allocated', 'reserved', 'quarantine')),
    kind         TEXT NOT NULL CHECK (kind IN ('static', 'dhcp')),
    active       BOOLEAN NOT NULL,
    conflict     BOOLEAN NOT NULL,
    -- Status, kind, active and conflict as one number: what tallies count by.
    class        BIGINT NOT NULL,
    hostname     TEXT NOT NULL,
    -- What lists are sorted by: lower case, or the byte FF, which comes last, when there is none.
    hostname_sort BYTEA NOT NULL,
    -- Twelve hexadecimal digits, or nothing.
    mac          TEXT NOT NULL,
    mac_sort     BYTEA NOT NULL,
    platform     TEXT NOT NULL,
    manufacturer TEXT NOT NULL,
    holder_kind  TEXT NOT NULL CHECK (holder_kind IN ('', 'host', 'bmc', 'phone', 'user', 'external')),
    holder_id    TEXT NOT NULL,
    holder_name  TEXT NOT NULL,
    -- Why it is reserved.
    description  TEXT NOT NULL CHECK (description = '' OR status = 'reserved'),
    reserved_by  TEXT NOT NULL CHECK (reserved_by = '' OR status = 'reserved'),
    -- Why it is in quarantine.
    reason       TEXT NOT NULL CHECK (reason = '' OR status = 'quarantine'),
    -- When a reservation or a quarantine ends by itself.
    until        BIGINT CHECK (until IS NULL OR status IN ('reserved', 'quarantine')),
    since        BIGINT NOT NULL,
    last_seen    BIGINT,
    seen_mac     TEXT NOT NULL,
    -- Host name, MAC, holder and words of the above in lower case: what a search looks through.
    search       TEXT NOT NULL,
    version      BIGINT NOT NULL DEFAULT 1,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, address)
);
CREATE INDEX address_class ON address (tenant_id, class, address);
CREATE INDEX address_hostname ON address (tenant_id, hostname_sort, address, class);
CREATE INDEX address_mac ON address (tenant_id, mac_sort, address, class);
CREATE INDEX address_holder ON address (tenant_id, holder_id) WHERE holder_id <> '';
CREATE INDEX address_reserved_by ON address (tenant_id, reserved_by, address) WHERE reserved_by <> '';
CREATE INDEX address_until ON address (until) WHERE until IS NOT NULL;
CREATE INDEX address_last_seen ON address (tenant_id, last_seen, address) WHERE last_seen IS NOT NULL;
CREATE INDEX address_orphan ON address (tenant_id, address) WHERE subnet_id IS NULL;

-- Who else wants, or was seen with, an address that somebody holds.
CREATE TABLE address_claim (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    address    BYTEA NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('host', 'bmc', 'phone', 'user', 'external', 'seen')),
    -- The claimant's id; for `seen` the MAC it was seen with.
    holder_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    mac        TEXT NOT NULL,
    hostname   TEXT NOT NULL,
    platform   TEXT NOT NULL,
    manufacturer TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant_id, address, kind, holder_id),
    FOREIGN KEY (tenant_id, address) REFERENCES address (tenant_id, address)
);
CREATE INDEX address_claim_holder ON address_claim (tenant_id, holder_id);

-- How many rows and gaps, and how many addresses, there are of each class: in a tenant, in a
-- subnet, and in blocks of 65,536 and of 256 addresses. Moved with every change, so that counts,
-- far pages and maps never walk over rows.
CREATE TABLE tally (
    tenant_id TEXT NOT NULL REFERENCES tenant (id),
    scope     BYTEA NOT NULL,
    class     BIGINT NOT NULL,
    entries   BIGINT NOT NULL,
    -- Addresses = high * 2^32 + low.
    high      BIGINT NOT NULL,
    low       BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, scope, class)
);

CREATE TABLE host (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL REFERENCES tenant (id),
    hostname     TEXT NOT NULL,
    hostname_key TEXT NOT NULL,
    primary_ip   BYTEA,
    nic_mac      TEXT NOT NULL,
    bmc_ip       BYTEA,
    bmc_mac      TEXT NOT NULL,
    device_type  TEXT NOT NULL,
    manufacturer TEXT NOT NULL,
    description  TEXT NOT NULL,
    version      BIGINT NOT NULL DEFAULT 1,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    UNIQUE (tenant_id, hostname_key)
);
CREATE INDEX host_primary_ip ON host (tenant_id, primary_ip);
CREATE INDEX host_bmc_ip ON host (tenant_id, bmc_ip);
