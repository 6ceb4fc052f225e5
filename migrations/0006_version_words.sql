ALTER TABLE `feature_versions` ADD `description` text;--> statement-breakpoint
ALTER TABLE `feature_versions` ADD `owner` text;--> statement-breakpoint
ALTER TABLE `feature_versions` ADD `tags` text;