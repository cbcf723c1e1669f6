create unique index profiles_email_key on public.profiles (lower(email));
