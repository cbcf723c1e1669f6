-- The first quiz, and what suits an occasion, a relationship or an age in the gift finder.

insert into public.quiz_versions (version, is_current, min_answers) values ('1.0', true, 10);

with questions (code, trait, is_reversed, text) as (
  values
    ('adv-1', 'adventurous', false, 'I would rather try a new route than take the one I know.'),
    ('int-1', 'intellectual', false, 'I enjoy reading about how things work, even when I have no use for it.'),
    ('pra-1', 'practical', false, 'The best present is one I can use every week.'),
    ('cre-1', 'creative', false, 'I like making things with my hands.'),
    ('soc-1', 'social', false, 'A good evening has many people in it.'),
    ('adv-2', 'adventurous', true, 'I feel best when a day goes exactly as planned.'),
    ('int-2', 'intellectual', true, 'Long discussions of ideas tire me.'),
    ('pra-2', 'practical', true, 'I often buy things I never use.'),
    ('cre-2', 'creative', true, 'I rarely have ideas for making or decorating something.'),
    ('soc-2', 'social', true, 'After a party I need a day to myself.'),
    ('adv-3', 'adventurous', false, 'I would sleep in a tent to see a sunrise.'),
    ('int-3', 'intellectual', false, 'I pick up a hard puzzle for pleasure.'),
    ('pra-3', 'practical', false, 'When something breaks, I reach for my tools.'),
    ('cre-3', 'creative', false, 'Colours, sounds or words catch my attention before anything else.'),
    ('soc-3', 'social', false, 'I am usually the one who brings people together.'),
    ('adv-4', 'adventurous', true, 'Heights, rough water or speed are not for me.'),
    ('int-4', 'intellectual', true, 'I would choose a comedy over a documentary every time.'),
    ('pra-4', 'practical', true, 'I do not mind clutter.'),
    ('cre-4', 'creative', true, 'I would rather follow instructions than improvise.'),
    ('soc-4', 'social', true, 'I prefer a present I can enjoy on my own.')
),
numbered as (select *, row_number() over () as position from questions),
stored as (
  insert into public.quiz_questions (version, code, position, trait, is_reversed)
  select '1.0', code, position, trait, is_reversed from numbered
)
insert into public.quiz_texts (version, locale, code, text)
select '1.0', 'en', code, text from numbered
union all
select '1.0', 'en', 'answer-' || value, label
from (values (1, 'Not at all like me'), (2, 'A little unlike me'), (3, 'Somewhere between'),
  (4, 'A little like me'), (5, 'Very much like me')) answers (value, label);

insert into public.gift_context_rules (kind, value, tag, weight) values
  ('occasion', 'birthday', 'party', 0.4), ('occasion', 'birthday', 'personalised', 0.6),
  ('occasion', 'birthday', 'funny', 0.3), ('occasion', 'birthday', 'experience', 0.5),
  ('occasion', 'christmas', 'stocking-filler', 0.8), ('occasion', 'christmas', 'cosy', 0.6),
  ('occasion', 'christmas', 'sharing', 0.4), ('occasion', 'christmas', 'family', 0.5),
  ('occasion', 'christmas', 'chocolate', 0.3),
  ('occasion', 'anniversary', 'for-couples', 1), ('occasion', 'anniversary', 'luxury', 0.5),
  ('occasion', 'anniversary', 'personalised', 0.5), ('occasion', 'anniversary', 'experience', 0.4),
  ('occasion', 'wedding', 'for-couples', 0.9), ('occasion', 'wedding', 'personalised', 0.5),
  ('occasion', 'wedding', 'hosting', 0.5), ('occasion', 'wedding', 'home-decor', 0.4),
  ('occasion', 'housewarming', 'home-decor', 0.8), ('occasion', 'housewarming', 'hosting', 0.7),
  ('occasion', 'housewarming', 'kitchen', 0.6), ('occasion', 'housewarming', 'gardening', 0.3),
  ('occasion', 'graduation', 'travel', 0.6), ('occasion', 'graduation', 'home-office', 0.5),
  ('occasion', 'graduation', 'writing', 0.4), ('occasion', 'graduation', 'personalised', 0.4),
  ('occasion', 'new-baby', 'for-kids', 0.9), ('occasion', 'new-baby', 'family', 0.6),
  ('occasion', 'new-baby', 'personalised', 0.4), ('occasion', 'new-baby', 'adrenaline', -0.6),
  ('occasion', 'thank-you', 'chocolate', 0.6), ('occasion', 'thank-you', 'stocking-filler', 0.5),
  ('occasion', 'thank-you', 'luxury', -0.3), ('occasion', 'thank-you', 'handmade', 0.4),
  ('relationship', 'partner', 'for-couples', 1), ('relationship', 'partner', 'luxury', 0.5),
  ('relationship', 'partner', 'experience', 0.3), ('relationship', 'partner', 'for-kids', -0.8),
  ('relationship', 'friend', 'funny', 0.4), ('relationship', 'friend', 'sharing', 0.4),
  ('relationship', 'friend', 'game-night', 0.4), ('relationship', 'friend', 'for-couples', -0.5),
  ('relationship', 'colleague', 'stocking-filler', 0.7), ('relationship', 'colleague', 'home-office', 0.6),
  ('relationship', 'colleague', 'for-couples', -1), ('relationship', 'colleague', 'luxury', -0.5),
  ('relationship', 'parent', 'gardening', 0.4), ('relationship', 'parent', 'cosy', 0.4),
  ('relationship', 'parent', 'personalised', 0.4), ('relationship', 'parent', 'for-kids', -0.8),
  ('relationship', 'sibling', 'funny', 0.4), ('relationship', 'sibling', 'game-night', 0.4),
  ('relationship', 'child', 'for-kids', 1), ('relationship', 'child', 'drinks', -1),
  ('relationship', 'grandparent', 'puzzle', 0.4), ('relationship', 'grandparent', 'gardening', 0.5),
  ('relationship', 'grandparent', 'family', 0.5), ('relationship', 'grandparent', 'adrenaline', -0.6),
  ('age', 'child', 'for-kids', 1), ('age', 'child', 'drinks', -1), ('age', 'child', 'luxury', -0.5),
  ('age', 'teenager', 'gadget', 0.5), ('age', 'teenager', 'game-night', 0.4), ('age', 'teenager', 'funny', 0.3),
  ('age', 'teenager', 'drinks', -1), ('age', 'teenager', 'for-couples', -0.6),
  ('age', 'adult', 'for-kids', -0.8),
  ('age', 'senior', 'for-kids', -0.8), ('age', 'senior', 'adrenaline', -0.5), ('age', 'senior', 'cosy', 0.3);
