CREATE TABLE `training_sets` (
	`training_set_id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`entity_type` text NOT NULL,
	`feature_names` text NOT NULL,
	`status` text NOT NULL,
	`total` integer NOT NULL,
	`written` integer NOT NULL,
	`known_at` integer NOT NULL,
	`step` integer NOT NULL,
	`tries` integer NOT NULL,
	`files` text NOT NULL,
	`types` text NOT NULL,
	`error` text,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `training_sets_tenant` ON `training_sets` (`tenant_id`,`created_at`);