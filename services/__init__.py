"""What the operations need beside their session, and the work that nobody asks for. No field is resolved here."""
