CREATE TABLE `past_entity_types` (
	`tenant_id` text NOT NULL,
	`entity_type` text NOT NULL,
	PRIMARY KEY(`tenant_id`, `entity_type`)
);
--> statement-breakpoint
CREATE TABLE `removed_features` (
	`tenant_id` text NOT NULL,
	`name` text NOT NULL,
	`highest_version` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `name`)
);
