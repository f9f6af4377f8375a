-- Phones, the files they boot from, who asked for which, and who is registered.
-- MACs are twelve lower-case digits; addresses are sixteen bytes as in the address table.

-- Settings for many phones at once: all of a tenant, a site, a model, or those that choose it.
CREATE TABLE profile (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL,
    scope      TEXT NOT NULL CHECK (scope IN ('tenant', 'site', 'model', 'chosen')),
    -- The site in lower case, or `vendor/model`; empty for the others.
    scope_key  TEXT NOT NULL,
    -- The site as it was typed; empty for the others.
    scope_name TEXT NOT NULL DEFAULT '',
    version    BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (tenant_id, name_key)
);
CREATE UNIQUE INDEX profile_scope ON profile (tenant_id, scope, scope_key) WHERE scope <> 'chosen';

CREATE TABLE profile_setting (
    profile_id TEXT NOT NULL REFERENCES profile (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (profile_id, key)
);

-- A device is in one place: its MAC is unique in the installation. Its static address is not
-- here: it is the address whose holder the phone is.
CREATE TABLE phone (
    mac           TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL REFERENCES tenant (id),
    vendor        TEXT NOT NULL,
    model         TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('phone', 'ata')),
    -- What people call it: a room, a desk. May be empty.
    label         TEXT NOT NULL,
    site          TEXT NOT NULL,
    site_key      TEXT NOT NULL,
    -- Where its static address is taken from.
    subnet_id     TEXT REFERENCES subnet (id) ON DELETE SET NULL,
    notes         TEXT NOT NULL,
    -- A profile of scope `chosen`.
    profile_id    TEXT REFERENCES profile (id),
    -- What stands in its provisioning URL, sealed, and the hash by which it is found.
    token         BYTEA NOT NULL,
    token_hash    TEXT NOT NULL UNIQUE,
    -- With what it may also sign in for its files, and what its own web pages ask for; sealed.
    http_password BYTEA NOT NULL,
    web_password  BYTEA NOT NULL,
    -- Until when one fetch by its plain file names is answered.
    enrol_until   BIGINT,
    -- Label, site, model and notes in lower case: what a search looks through.
    search        TEXT NOT NULL,
    -- What lists search and sort by of its lines, repeated here so that they need not look there:
    -- numbers, names and labels in lower case; its first number, 100000000 without one; what it is
    -- called (its label, else who has its first line, else its MAC) in lower case.
    people        TEXT NOT NULL DEFAULT '',
    number_sort   BIGINT NOT NULL DEFAULT 100000000,
    title_sort    TEXT NOT NULL DEFAULT '',
    version       BIGINT NOT NULL DEFAULT 1,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE INDEX phone_tenant ON phone (tenant_id, mac);
CREATE INDEX phone_title ON phone (tenant_id, title_sort, mac);
CREATE INDEX phone_number ON phone (tenant_id, number_sort, mac);
CREATE INDEX phone_created ON phone (tenant_id, created_at, mac);
CREATE INDEX phone_model ON phone (tenant_id, vendor, model, mac);
CREATE INDEX phone_site ON phone (tenant_id, site_key, mac);
CREATE INDEX phone_ata ON phone (tenant_id, mac) WHERE kind = 'ata';
CREATE INDEX phone_profile ON phone (profile_id) WHERE profile_id IS NOT NULL;
CREATE INDEX phone_subnet ON phone (subnet_id) WHERE subnet_id IS NOT NULL;

-- A number rings one phone: Asterisk keeps one contact for it.
CREATE TABLE phone_line (
    mac       TEXT NOT NULL REFERENCES phone (mac) ON DELETE CASCADE,
    line      BIGINT NOT NULL CHECK (line BETWEEN 1 AND 32),
    tenant_id TEXT NOT NULL REFERENCES tenant (id),
    user_id   TEXT NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    -- What the phone writes beside the key; empty is the number.
    label     TEXT NOT NULL,
    PRIMARY KEY (mac, line)
);
CREATE INDEX phone_line_tenant ON phone_line (tenant_id, user_id);
CREATE INDEX phone_line_more ON phone_line (tenant_id, user_id, mac) WHERE line > 1;

CREATE TABLE phone_key (
    mac      TEXT NOT NULL REFERENCES phone (mac) ON DELETE CASCADE,
    position BIGINT NOT NULL CHECK (position BETWEEN 1 AND 200),
    kind     TEXT NOT NULL CHECK (kind IN ('line', 'blf', 'speed_dial', 'park')),
    -- The line it uses.
    line     BIGINT NOT NULL,
    -- The number watched or dialled, the parking slot; empty for a line.
    value    TEXT NOT NULL,
    label    TEXT NOT NULL,
    PRIMARY KEY (mac, position)
);

CREATE TABLE phone_setting (
    mac   TEXT NOT NULL REFERENCES phone (mac) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (mac, key)
);

-- The addresses phones hold, among very many others.
CREATE INDEX address_phone ON address (tenant_id, holder_id, address) WHERE holder_kind = 'phone';

-- What a phone last fetched and said of itself. Written often, so apart from what people write.
CREATE TABLE phone_seen (
    mac              TEXT PRIMARY KEY REFERENCES phone (mac) ON DELETE CASCADE,
    fetched_at       BIGINT,
    fetched_from     BYTEA,
    -- The file of its own and that file's revision, which says what the phone now knows.
    fetched_file     TEXT NOT NULL,
    fetched_revision TEXT NOT NULL,
    user_agent       TEXT NOT NULL,
    model            TEXT NOT NULL,
    firmware         TEXT NOT NULL
);
CREATE INDEX phone_seen_at ON phone_seen (fetched_at);

-- The last file of each name that could be rendered and was served; sealed, it holds secrets.
CREATE TABLE boot_file (
    mac      TEXT NOT NULL REFERENCES phone (mac) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    revision TEXT NOT NULL,
    content  BYTEA NOT NULL,
    made_at  BIGINT NOT NULL,
    PRIMARY KEY (mac, name)
);

-- Administrators' own templates: every version ever saved. The newest counts; one without content
-- is the return to the built-in template.
CREATE TABLE boot_template (
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    vendor     TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    BIGINT NOT NULL,
    content    TEXT,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    note       TEXT NOT NULL,
    PRIMARY KEY (tenant_id, vendor, name, version)
);

-- Every request for a boot file and what came of it.
CREATE TABLE boot_request (
    id         TEXT PRIMARY KEY,
    at         BIGINT NOT NULL,
    -- None while it is nobody's.
    tenant_id  TEXT REFERENCES tenant (id),
    -- Empty when the request names none.
    mac        TEXT NOT NULL,
    address    BYTEA NOT NULL,
    user_agent TEXT NOT NULL,
    path       TEXT NOT NULL,
    outcome    TEXT NOT NULL CHECK (outcome IN ('served', 'unchanged', 'aged', 'refused', 'unknown', 'locked',
                                               'throttled', 'placeholder', 'broken', 'uploaded')),
    -- By what it was let in: token, password, enrolment, tftp; or why it was not.
    how        TEXT NOT NULL,
    revision   TEXT NOT NULL,
    bytes      BIGINT NOT NULL
);
CREATE INDEX boot_request_tenant ON boot_request (tenant_id, at);
CREATE INDEX boot_request_mac ON boot_request (mac, at) WHERE mac <> '';
CREATE INDEX boot_request_at ON boot_request (at);

-- Subnets in which unknown phones may wait, and known ones enrol.
CREATE TABLE enrolment_subnet (
    subnet_id TEXT PRIMARY KEY REFERENCES subnet (id) ON DELETE CASCADE,
    tenant_id TEXT NOT NULL REFERENCES tenant (id)
);
CREATE INDEX enrolment_subnet_tenant ON enrolment_subnet (tenant_id);

-- Phones nobody has added that asked for a file.
CREATE TABLE phone_waiting (
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    mac        TEXT NOT NULL,
    vendor     TEXT NOT NULL,
    model      TEXT NOT NULL,
    firmware   TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    address    BYTEA NOT NULL,
    subnet_id  TEXT REFERENCES subnet (id) ON DELETE SET NULL,
    path       TEXT NOT NULL,
    first_at   BIGINT NOT NULL,
    last_at    BIGINT NOT NULL,
    times      BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, mac)
);

-- Who was registered as what, from where: one row for each number and contact, kept when it ends.
CREATE TABLE registration (
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    number     BIGINT NOT NULL,
    contact    TEXT NOT NULL,
    -- Whence it reaches Asterisk, and what it believes its own address to be if that is another:
    -- then there is a router with address translation between. Empty when not known.
    address    BYTEA NOT NULL,
    via        BYTEA NOT NULL DEFAULT '',
    user_agent TEXT NOT NULL,
    mac        TEXT NOT NULL,
    -- Whence the MAC is known.
    mac_source TEXT NOT NULL CHECK (mac_source IN ('', 'provisioning', 'user_agent', 'instance')),
    -- Whether Asterisk has it now, as last heard.
    present    BOOLEAN NOT NULL,
    -- Whether no other of the number began after it ended.
    latest     BOOLEAN NOT NULL DEFAULT TRUE,
    first_seen BIGINT NOT NULL,
    -- When it was last written that it is there; when it ended, the end.
    last_seen  BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (tenant_id, number, contact)
);
CREATE INDEX registration_mac ON registration (tenant_id, mac, last_seen) WHERE mac <> '';
CREATE INDEX registration_address ON registration (tenant_id, address);
CREATE INDEX registration_seen ON registration (tenant_id, last_seen);
CREATE INDEX registration_present ON registration (tenant_id, number, mac) WHERE present;
CREATE INDEX registration_latest ON registration (tenant_id, number) WHERE latest;
CREATE INDEX registration_ended ON registration (last_seen) WHERE NOT present;

-- How good Asterisk's word on registrations is; one row.
CREATE TABLE registration_feed (
    id       BIGINT PRIMARY KEY CHECK (id = 1),
    -- When Asterisk last told all of them.
    read_at  BIGINT,
    -- Why it does not now; empty when it does.
    error    TEXT NOT NULL,
    -- Registered as something that is nobody's number, at that time.
    foreign_ones BIGINT NOT NULL,
    -- Counts what was written of registrations, so that others see that something was.
    changes  BIGINT NOT NULL
);
INSERT INTO registration_feed (id, read_at, error, foreign_ones, changes) VALUES (1, NULL, '', 0, 0);

-- Who is where: derived from users, phones, addresses and registrations, and made anew when one of
-- them changed, because what it says takes all of them together. Never edited, not in backups.
CREATE TABLE phone_map (
    tenant_id  TEXT NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    -- `1:<number>:<n>`, or `2:<mac>` for a phone without a line; in the order of numbers.
    place      TEXT NOT NULL,
    number     BIGINT,
    user_id    TEXT NOT NULL,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL,
    mac        TEXT NOT NULL,
    mac_source TEXT NOT NULL,
    -- Whether a phone with that MAC is known, and what it is.
    known      BOOLEAN NOT NULL,
    vendor     TEXT NOT NULL,
    model      TEXT NOT NULL,
    kind       TEXT NOT NULL,
    label      TEXT NOT NULL,
    address    BYTEA NOT NULL,
    via        BYTEA NOT NULL,
    -- The static address of the phone.
    fixed      BYTEA NOT NULL,
    subnet_id  TEXT NOT NULL,
    subnet     TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    contact    TEXT NOT NULL,
    present    BOOLEAN NOT NULL,
    first_seen BIGINT,
    seen_at    BIGINT NOT NULL,
    expires_at BIGINT,
    flags      BIGINT NOT NULL,
    -- Everything a search looks through, in lower case.
    search     TEXT NOT NULL,
    PRIMARY KEY (tenant_id, place)
);
-- What a search reads, and nothing else.
CREATE INDEX phone_map_words ON phone_map (tenant_id, place, flags, present, search);
CREATE INDEX phone_map_name ON phone_map (tenant_id, name_key, place);
CREATE INDEX phone_map_number ON phone_map (tenant_id, number);
CREATE INDEX phone_map_fixed ON phone_map (tenant_id, fixed) WHERE length(fixed) > 0;
CREATE INDEX phone_map_mac ON phone_map (tenant_id, mac, place);
CREATE INDEX phone_map_address ON phone_map (tenant_id, address, place);
CREATE INDEX phone_map_seen ON phone_map (tenant_id, seen_at, place);
CREATE INDEX phone_map_flags ON phone_map (tenant_id, place) WHERE flags <> 0;

-- Of what the map was made, and when.
CREATE TABLE phone_map_state (
    tenant_id TEXT PRIMARY KEY REFERENCES tenant (id) ON DELETE CASCADE,
    audit_seq BIGINT NOT NULL,
    changes   BIGINT NOT NULL,
    made_at   BIGINT NOT NULL,
    -- How many rows there are, are registered, and have each flag.
    entries   BIGINT NOT NULL,
    present   BIGINT NOT NULL,
    flagged   TEXT NOT NULL
);

-- When phones were told to fetch their files anew, and what came of it.
CREATE TABLE notification (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    kind        TEXT NOT NULL CHECK (kind IN ('resync', 'reboot')),
    reason      TEXT NOT NULL,
    actor       TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'stopped', 'failed')),
    -- Phones told at once, and seconds from one wave to the next.
    wave_size   BIGINT NOT NULL,
    pause       BIGINT NOT NULL,
    stopping    BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    next_at     BIGINT NOT NULL,
    finished_at BIGINT,
    -- The process that sends it, and until when it is believed to be alive without a new word.
    runner      TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    error       TEXT NOT NULL
);
CREATE INDEX notification_tenant ON notification (tenant_id, created_at);
CREATE INDEX notification_open ON notification (lease_until) WHERE finished_at IS NULL;

CREATE TABLE notification_phone (
    notification_id TEXT NOT NULL REFERENCES notification (id) ON DELETE CASCADE,
    mac             TEXT NOT NULL,
    -- The number it was told through; none while it waits.
    number          BIGINT,
    wave            BIGINT NOT NULL,
    -- `sending` is written before Asterisk is asked, so that a crash between leaves a doubt, not a lie.
    state           TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'failed')),
    sent_at         BIGINT,
    -- The revision the phone ought to fetch.
    revision        TEXT NOT NULL,
    error           TEXT NOT NULL,
    PRIMARY KEY (notification_id, mac)
);

-- The revision of the file a phone would get, as of the newest change there was then.
CREATE TABLE phone_revision (
    mac       TEXT PRIMARY KEY REFERENCES phone (mac) ON DELETE CASCADE,
    revision  TEXT NOT NULL,
    audit_seq BIGINT NOT NULL
);

-- People and places outside, for the phone book.
CREATE TABLE contact (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL REFERENCES tenant (id),
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL,
    number     TEXT NOT NULL,
    version    BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (tenant_id, name_key, number)
);
