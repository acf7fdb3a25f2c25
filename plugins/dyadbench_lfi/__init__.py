"""Let's Face It (IVA 2020): a listener's frames one after another from a conditional normalising flow."""
