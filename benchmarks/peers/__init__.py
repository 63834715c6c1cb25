"""What we are measured against, written as a practitioner would write it."""
