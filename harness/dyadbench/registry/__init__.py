"""Which plugins are installed and what each of them offers."""
