"""Dense-FSQ (FG 2024): one token a frame, and a listener that is generated patch by patch beside the speaker."""
