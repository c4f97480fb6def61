"""The population: every version in git, and how two of them become one."""
