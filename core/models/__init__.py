"""Model families and what each accepts, as data. Adding a model is a row in `core.models.families`."""
