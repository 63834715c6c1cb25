"""Who answers whom: numbered revisions of routes, users divided among their arms, and where they are kept."""
