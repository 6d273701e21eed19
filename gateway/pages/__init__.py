"""The dashboard: pages for people, served by the API's process, each with a `.json` of the same."""
