"""What the service does while something beneath it fails, and after."""
