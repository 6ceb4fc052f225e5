CREATE TABLE `subscriptions` (
	`subscription_id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`kind` text NOT NULL,
	`url` text NOT NULL,
	`format` text NOT NULL,
	`topic` text,
	`description` text,
	`entity_types` text,
	`categories` text,
	`features` text,
	`status` text NOT NULL,
	`secret_nonce` text NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `subscriptions_tenant` ON `subscriptions` (`tenant_id`);