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
LEFT JOIN address k ON p.site_key = '' AND k.tenant_id = p.tenant_id AND k.holder_id = p.mac AND k.holder_kind = 'phone'
    AND NOT EXISTS (SELECT 1 FROM address o
                    WHERE o.tenant_id = k.tenant_id AND o.holder_id = k.holder_id AND o.holder_kind = 'phone'
                      AND o.address < k.address)
LEFT JOIN subnet s ON p.site_key = '' AND s.id = coalesce(k.subnet_id, p.subnet_id);
