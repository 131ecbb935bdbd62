"""Run folders: written as a run goes on, read without this program."""
