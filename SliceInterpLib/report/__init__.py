"""Pictures and pages that show a result."""
