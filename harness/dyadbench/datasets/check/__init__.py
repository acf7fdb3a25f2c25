"""`dyadbench data check`: what a folder holds, what is missing, and what that means for scores."""
