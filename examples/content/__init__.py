"""Content that goes public at a set time: a workflow, the site it publishes to, schedules."""
