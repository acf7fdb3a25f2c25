"""SFMS (arXiv 2504.05748): a listener's motion as a few keyframes, with everything between them painted in."""
