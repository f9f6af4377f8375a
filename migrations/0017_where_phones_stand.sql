-- Where each phone stands: at its own site, else at that of the subnet its static address lies in,
-- else at that of the subnet it is to have one in. It is said here alone, and not stored, so that it
-- follows when an address, a subnet or a subnet's site changes. `subnet_id` is the subnet that says
-- it; none while the phone says it itself.
CREATE VIEW phone_whereabouts AS
SELECT p.tenant_id, p.mac,
       CASE WHEN p.site_key <> '' THEN p.site ELSE coalesce(s.site, '') END AS site,
       CASE WHEN p.site_key <> '' THEN p.site_key ELSE coalesce(s.site_key, '') END AS site_key,
       s.id AS subnet_id
FROM phone p
LEFT JOIN subnet s ON s.id = CASE WHEN p.site_key = '' THEN
    coalesce((SELECT a.subnet_id FROM address a
              WHERE a.tenant_id = p.tenant_id AND a.holder_id = p.mac AND a.holder_kind = 'phone'
              ORDER BY a.address LIMIT 1), p.subnet_id) END;
