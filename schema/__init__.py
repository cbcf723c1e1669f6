"""The GraphQL schema: types, inputs, roots, scalars, errors. The only package that knows Strawberry."""
