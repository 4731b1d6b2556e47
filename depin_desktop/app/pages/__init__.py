"""The pages. Each shows what the presenters say of the last snapshots, and hands every wish to the controller."""
