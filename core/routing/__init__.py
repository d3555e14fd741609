"""Which backend answers: the registry of names and the policy of attempts."""
