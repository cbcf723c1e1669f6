#!/bin/sh
# Creates the owner of the schema and its database, once, when the data folder is empty.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$OWNER_PASSWORD" --username postgres <<'SQL'
create role aclue_owner login createrole password :'password';
create database aclue owner aclue_owner;
SQL
