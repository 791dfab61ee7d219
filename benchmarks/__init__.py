"""What is measured, and how; docs quote the results."""
