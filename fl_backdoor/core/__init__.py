"""What everything stands on: errors, types, seeds, plug-ins, arrays, files. Imports nothing of ours."""
