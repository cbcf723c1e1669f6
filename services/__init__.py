"""What operations need besides their session, and background jobs. No field is resolved here."""
