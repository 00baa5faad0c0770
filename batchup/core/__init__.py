"""What a stream is: plans, work, and going through them. Names no stage."""
