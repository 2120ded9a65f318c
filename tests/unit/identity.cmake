unit_test(identity_memos LAYER identity INSIDE)
unit_test(identity_debts LAYER identity INSIDE)
unit_test(identity_jwt LAYER identity USES jwt_maker)
unit_test(identity_verifier LAYER identity SOURCES unit/allocations.c USES jwt_maker test_support)
