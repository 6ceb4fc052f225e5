-- The tenant of development and of the first admin key; it administers all others.
INSERT OR IGNORE INTO tenants (tenant_id, name, created_at) VALUES ('default', 'default', CAST(strftime('%s', 'now') AS INTEGER) * 1000000);
