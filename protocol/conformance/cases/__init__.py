"""The cases, one module per role and layer; every module in this folder is loaded and registers its cases."""
