CREATE TABLE `registry_stamps` (
	`tenant_id` text PRIMARY KEY NOT NULL,
	`stamp` text NOT NULL
);
