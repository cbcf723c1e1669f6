-- An e-mail is of one profile again.
create unique index profiles_email_key on public.profiles (lower(email));
