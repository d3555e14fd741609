"""The console's API: no model's wire format, only how its errors and streams are written (`wire`)."""
