unit_test(changes_tenant_file_write LAYER changes INSIDE)
