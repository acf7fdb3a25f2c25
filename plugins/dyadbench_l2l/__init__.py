"""Learning2Listen (CVPR 2022): a listener's motion in tokens of 8 frames, each predicted from the speaker's last 40."""
