-- Search finds a product by its own name, whatever signs, case, accents and script it has: one function makes words of a
-- text, of what is indexed and of what is searched for.
--
-- What these functions return is stored. So they are written here and nowhere else: changing one is a new migration,
-- which computes again what is stored.

-- The lists of characters below are Unicode's (14.0; General_Category and CaseFolding.txt), and a test compares them with
-- Python's. They stand here because what lower() and [[:alnum:]] know depends on the locale of a database.

create or replace function private.search_lower(p_text text) returns text
language plpgsql immutable strict parallel safe
set search_path = ''
as $$
declare
  folded text := p_text;
begin
  if folded ~ '[\u0410-\u042f]' then  -- Cyrillic
    folded := pg_catalog.translate(folded,
    'АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ',
    'абвгдежзиклмнопрстуфхцчшщъыьэюя');
  end if;
  if folded ~ '[\u0400-\u040f\u0460-\u052f\ua640-\ua69f]' then  -- Cyrillic of other languages
    folded := pg_catalog.translate(folded,
    'ЂЄЅІЈЉЊЋЏѠѢѤѦѨѪѬѮѰѲѴѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӃӅӇӉӋӍӔӘӠӨӶӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮꙀꙂꙄꙆꙈ'
    'ꙊꙌꙎꙐꙒꙔꙖꙘꙚꙜꙞꙠꙢꙤꙦꙨꙪꙬꚀꚂꚄꚆꚈꚊꚌꚎꚐꚒꚔꚖꚘꚚ',
    'ђєѕіјљњћџѡѣѥѧѩѫѭѯѱѳѵѹѻѽѿҁҋҍҏґғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӄӆӈӊӌӎӕәӡөӷӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯꙁꙃꙅꙇꙉ'
    'ꙋꙍꙏꙑꙓꙕꙗꙙꙛꙝꙟꙡꙣꙥꙧꙩꙫꙭꚁꚃꚅꚇꚉꚋꚍꚏꚑꚓꚕꚗꚙꚛ');
  end if;
  if folded ~ '[\u0370-\u03ff]' then  -- Greek
    folded := pg_catalog.translate(folded,
    'ͰͲͶͿΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩςϏϘϚϜϞϠϢϤϦϨϪϬϮϷϺϽϾϿ',
    'ͱͳͷϳαβγδεζηθικλμνξοπρστυφχψωσϗϙϛϝϟϡϣϥϧϩϫϭϯϸϻͻͼͽ');
  end if;
  if folded ~ '[\u00c0-\u0250\u1e9e]' then  -- Latin
    folded := pg_catalog.translate(folded,
    'ÆÐØÞĐĦŁŊŒŦƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƜƝƟƢƤƦƧƩƬƮƱƲƳƵƷƸƼǤǶǷȜȠȢȤȺȻȽȾɁɃɄɅɆɈɊɌɎøđħłıŧŋðƒĸƀẞ',
    'ædoþdhlnœtɓƃƅɔƈɖɗƌǝəɛfɠɣɩɨƙɯɲɵƣƥʀƨʃƭʈʊʋƴƶʒƹƽǥƕƿȝƞȣȥⱥȼƚⱦɂbʉʌɇɉɋɍɏodhlitndfkbß');
  end if;
  if folded ~ '[\u0531-\u0556\u10a0-\u10cd\u13f8-\u13fd\u1c90-\u1cbf\u1ef0-\u1eff\u2132\u2183\u2c60-\u2c7f\ua720-\ua7ff\uab70-\uabbf]' then  -- Armenian, Georgian, Cherokee and rare letters
    folded := pg_catalog.translate(folded,
    'ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖᲐᲑᲒᲓᲔᲕᲖᲗᲘᲙᲚᲛᲜᲝᲞᲟᲠᲡᲢᲣᲤᲥᲦᲧᲨᲩᲪᲫᲬᲭᲮᲯᲰᲱᲲᲳᲴᲵᲶᲷᲸᲹᲺᲽᲾᲿႠႡႢႣႤႥႦႧႨႩႪႫ'
    'ႬႭႮႯႰႱႲႳႴႵႶႷႸႹႺႻႼႽႾႿჀჁჂჃჄჅỺỼỾⱠⱢⱣⱤⱧⱩⱫⱭⱮⱯⱰⱲⱵⱾⱿꜢꜤꜦꜨꜪꜬꜮꜲꜴꜶꜸꜺꜼꜾꝀꝂꝄꝆꝈꝊꝌꝎꝐꝒꝔꝖꝘꝚꝜꝞꝠꝢꝤꝦꝨꝪꝬꝮꝹꝻꝽꝾꞀꞂꞄꞆꞋꞍꞐꞒꞖꞘ'
    'ꞚꞜꞞꞠꞢꞤꞦꞨꞪꞫꞬꞭꞮꞰꞱꞲꞳꞴꞶꞸꞺꞼꞾꟀꟂꟄꟅꟆꟇꟉꟐꟖꟘꟵჇჍᏸᏹᏺᏻᏼᏽꭰꭱꭲꭳꭴꭵꭶꭷꭸꭹꭺꭻꭼꭽꭾꭿꮀꮁꮂꮃꮄꮅꮆꮇꮈꮉꮊꮋꮌꮍꮎꮏꮐꮑꮒꮓꮔꮕꮖꮗꮘꮙꮚꮛꮜꮝꮞꮟꮠꮡꮢꮣꮤꮥ'
    'ꮦꮧꮨꮩꮪꮫꮬꮭꮮꮯꮰꮱꮲꮳꮴꮵꮶꮷꮸꮹꮺꮻꮼꮽꮾꮿℲↃ',
    'աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆაბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰჱჲჳჴჵჶჷჸჹჺჽჾჿⴀⴁⴂⴃⴄⴅⴆⴇⴈⴉⴊⴋ'
    'ⴌⴍⴎⴏⴐⴑⴒⴓⴔⴕⴖⴗⴘⴙⴚⴛⴜⴝⴞⴟⴠⴡⴢⴣⴤⴥỻỽỿⱡɫᵽɽⱨⱪⱬɑɱɐɒⱳⱶȿɀꜣꜥꜧꜩꜫꜭꜯꜳꜵꜷꜹꜻꜽꜿꝁꝃꝅꝇꝉꝋꝍꝏꝑꝓꝕꝗꝙꝛꝝꝟꝡꝣꝥꝧꝩꝫꝭꝯꝺꝼᵹꝿꞁꞃꞅꞇꞌɥꞑꞓꞗꞙ'
    'ꞛꞝꞟꞡꞣꞥꞧꞩɦɜɡɬɪʞʇʝꭓꞵꞷꞹꞻꞽꞿꟁꟃꞔʂᶎꟈꟊꟑꟗꟙꟶⴧⴭᏰᏱᏲᏳᏴᏵᎠᎡᎢᎣᎤᎥᎦᎧᎨᎩᎪᎫᎬᎭᎮᎯᎰᎱᎲᎳᎴᎵᎶᎷᎸᎹᎺᎻᎼᎽᎾᎿᏀᏁᏂᏃᏄᏅᏆᏇᏈᏉᏊᏋᏌᏍᏎᏏᏐᏑᏒᏓᏔᏕ'
    'ᏖᏗᏘᏙᏚᏛᏜᏝᏞᏟᏠᏡᏢᏣᏤᏥᏦᏧᏨᏩᏪᏫᏬᏭᏮᏯⅎↄ');
  end if;
  return pg_catalog.lower(folded collate "C");  -- and ASCII
end
$$;
comment on function private.search_lower(text) is
  'The text in small letters, as Unicode folds case, also letters with a stroke as those without. By script: for each '
  'letter translate() goes through its whole list.';

create or replace function private.search_fold(p_text text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return case
  when octet_length(p_text) = char_length(p_text) then lower(p_text collate "C")
  else replace(replace(replace(replace(private.search_lower(
    regexp_replace(
      normalize(translate(p_text, '™℠℗©®', '     '), nfkd),
      '[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1-\u05c2\u05c4-\u05c5\u05c7\u0610-\u061a\u0640'
        '\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff'
        '\ufe00-\ufe0f\ufe20-\ufe2f\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f'
        '\ufeff]',
      '', 'g')),
    'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th')
end;
comment on function private.search_fold(text) is
  'The text without case, accents, ligatures and invisible characters; the same on every database.';

create or replace function private.search_normal(p_text text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return btrim(regexp_replace(private.search_fold(p_text),
  '[\x01-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f\u0080-\u00a9\u00ab-\u00b1\u00b6-\u00b7\u00bb\u00bf\u00d7\u00f7'
  '\u02c2-\u02c5\u02d2-\u02df\u02e5-\u02eb\u02ed\u02ef-\u02ff\u0375\u03f6\u0482\u055a-\u055f'
  '\u0589-\u05c6\u05f3-\u061f\u066a-\u066d\u06d4\u06dd-\u06e9\u06fd-\u06fe\u0700-\u070f\u07f6-\u07f9'
  '\u07fe-\u07ff\u0830-\u083e\u085e\u0888\u0890-\u0891\u08e2\u0964-\u0965\u0970\u09f2-\u09f3'
  '\u09fa-\u09fb\u09fd\u0a76\u0af0-\u0af1\u0b70\u0bf3-\u0bfa\u0c77\u0c7f\u0c84\u0d4f\u0d79\u0df4\u0e3f'
  '\u0e4f\u0e5a-\u0e5b\u0f01-\u0f17\u0f1a-\u0f1f\u0f34\u0f36\u0f38\u0f3a-\u0f3d\u0f85\u0fbe-\u0fc5'
  '\u0fc7-\u0fda\u104a-\u104f\u109e-\u109f\u10fb\u1360-\u1368\u1390-\u1399\u1400\u166d-\u166e\u1680'
  '\u169b-\u169c\u16eb-\u16ed\u1735-\u1736\u17d4-\u17d6\u17d8-\u17db\u1800-\u180a\u1940-\u1945'
  '\u19de-\u19ff\u1a1e-\u1a1f\u1aa0-\u1aa6\u1aa8-\u1aad\u1b5a-\u1b6a\u1b74-\u1b7e\u1bfc-\u1bff'
  '\u1c3b-\u1c3f\u1c7e-\u1c7f\u1cc0-\u1cc7\u1cd3\u2010-\u205e\u20a0-\u20c0\u2104\u2108\u2114'
  '\u2117-\u2118\u211e-\u2123\u2125\u2127\u2129\u212e\u213a\u2141-\u2144\u214a-\u214d\u214f'
  '\u218a-\u244a\u2500-\u2775\u2794-\u2bff\u2ce5-\u2cea\u2cf9-\u2cfc\u2cfe-\u2cff\u2d70\u2e00-\u2e2e'
  '\u2e30-\u3004\u3008-\u3020\u3030\u3037\u303d-\u303f\u30a0\u30fb\u3190-\u3191\u31c0-\u31e3\u327f'
  '\u4dc0-\u4dff\ua490-\ua4c6\ua4fe-\ua4ff\ua60d-\ua60f\ua673\ua67e\ua6f2-\ua716\ua720-\ua721'
  '\ua789-\ua78a\ua828-\ua82b\ua836-\ua839\ua874-\ua877\ua8ce-\ua8cf\ua8f8-\ua8fa\ua8fc\ua92e-\ua92f'
  '\ua95f\ua9c1-\ua9cd\ua9de-\ua9df\uaa5c-\uaa5f\uaa77-\uaa79\uaade-\uaadf\uaaf0-\uaaf1\uab5b'
  '\uab6a-\uab6b\uabeb\ufbb2-\ufbc2\ufd3e-\ufd4f\ufdcf\ufdfd-\ufe46\ufff9-\ufffd\U0001f000-\U0001faff]+',
  ' ', 'g'));
comment on function private.search_normal(text) is
  'The words of a text, folded, one blank between them: letters and digits of any script, nothing else.';

create or replace function private.search_spelled(p_text text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return case when octet_length(p_text) = char_length(p_text) then p_text else
  replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(normalize(p_text, nfc),
    'ä', 'ae'), 'ö', 'oe'), 'ü', 'ue'), 'å', 'aa'), 'ø', 'oe'),
    'Ä', 'Ae'), 'Ö', 'Oe'), 'Ü', 'Ue'), 'Å', 'Aa'), 'Ø', 'Oe')
end;
comment on function private.search_spelled(text) is
  'The text as people write it whose keyboard lacks the letters: koeln for köln, aarhus for århus.';

create or replace function private.search_joined(p_text text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return regexp_replace(private.search_fold(p_text),
  '(?<=[^\s\d])[''’.&/+\-\u2010\u2011]+(?=[^\s\d])', '', 'g');
comment on function private.search_joined(text) is
  'The text with what stands between two letters left out: wifi for wi-fi, acdc for AC/DC.';

create or replace function private.search_unmarked(p_text text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return regexp_replace(private.search_fold(p_text),
    '[\u0711\u0730-\u074a\u07a6-\u07b0\u07eb-\u07f3\u07fd\u0816-\u0819\u081b-\u0823\u0825-\u0827'
    '\u0829-\u082d\u0859-\u085b\u0898-\u089f\u08ca-\u08e1\u08e3-\u0902\u093a\u093c\u0941-\u0948\u094d'
    '\u0951-\u0957\u0962-\u0963\u0981\u09bc\u09c1-\u09c4\u09cd\u09e2-\u09e3\u09fe-\u0a02\u0a3c'
    '\u0a41-\u0a51\u0a70-\u0a71\u0a75\u0a81-\u0a82\u0abc\u0ac1-\u0ac8\u0acd\u0ae2-\u0ae3\u0afa-\u0b01'
    '\u0b3c\u0b3f\u0b41-\u0b44\u0b4d-\u0b56\u0b62-\u0b63\u0b82\u0bc0\u0bcd\u0c00\u0c04\u0c3c\u0c3e-\u0c40'
    '\u0c46-\u0c56\u0c62-\u0c63\u0c81\u0cbc\u0cbf\u0cc6\u0ccc-\u0ccd\u0ce2-\u0ce3\u0d00-\u0d01'
    '\u0d3b-\u0d3c\u0d41-\u0d44\u0d4d\u0d62-\u0d63\u0d81\u0dca\u0dd2-\u0dd6\u0e31\u0e34-\u0e3a'
    '\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u0f18-\u0f19\u0f35\u0f37\u0f39\u0f71-\u0f7e'
    '\u0f80-\u0f84\u0f86-\u0f87\u0f8d-\u0fbc\u0fc6\u102d-\u1030\u1032-\u1037\u1039-\u103a\u103d-\u103e'
    '\u1058-\u1059\u105e-\u1060\u1071-\u1074\u1082\u1085-\u1086\u108d\u109d\u135d-\u135f\u1712-\u1714'
    '\u1732-\u1733\u1752-\u1753\u1772-\u1773\u17b4-\u17b5\u17b7-\u17bd\u17c6\u17c9-\u17d3\u17dd'
    '\u1885-\u1886\u18a9\u1920-\u1922\u1927-\u1928\u1932\u1939-\u193b\u1a17-\u1a18\u1a1b\u1a56'
    '\u1a58-\u1a60\u1a62\u1a65-\u1a6c\u1a73-\u1a7f\u1b00-\u1b03\u1b34\u1b36-\u1b3a\u1b3c\u1b42'
    '\u1b6b-\u1b73\u1b80-\u1b81\u1ba2-\u1ba5\u1ba8-\u1ba9\u1bab-\u1bad\u1be6\u1be8-\u1be9\u1bed'
    '\u1bef-\u1bf1\u1c2c-\u1c33\u1c36-\u1c37\u1cd0-\u1cd2\u1cd4-\u1ce0\u1ce2-\u1ce8\u1ced\u1cf4'
    '\u1cf8-\u1cf9\u2cef-\u2cf1\u2d7f\u2de0-\u2dff\u302a-\u302d\u3099-\u309a\ua66f\ua674-\ua67d'
    '\ua69e-\ua69f\ua6f0-\ua6f1\ua802\ua806\ua80b\ua825-\ua826\ua82c\ua8c4-\ua8c5\ua8e0-\ua8f1\ua8ff'
    '\ua926-\ua92d\ua947-\ua951\ua980-\ua982\ua9b3\ua9b6-\ua9b9\ua9bc-\ua9bd\ua9e5\uaa29-\uaa2e'
    '\uaa31-\uaa32\uaa35-\uaa36\uaa43\uaa4c\uaa7c\uaab0\uaab2-\uaab4\uaab7-\uaab8\uaabe-\uaabf\uaac1'
    '\uaaec-\uaaed\uaaf6\uabe5\uabe8\uabed\ufb1e]+',
  '', 'g');
comment on function private.search_unmarked(text) is
  'The text folded, also without the marks that in their script are letters: Thai vowels, Japanese voicing.';

create or replace function private.search_name(p_text text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return '=' || md5(coalesce(
  nullif(private.search_normal(regexp_replace(
    private.search_unmarked(translate(p_text, '−‐‑–—―﹣－', '--------')), '(^|\s)-(?=[^\s\d])', '\1ꟷ', 'g')), ''),
  btrim(private.search_fold(p_text))));
comment on function private.search_name(text) is
  'A lexeme that stands for a whole name, so that a query that is one finds it whatever its words and signs mean. '
  'Only a minus before a word counts, as the letter ꟷ: "chocolate -hot" is not the name Chocolate Hot.';

create or replace function private.search_stem(p_word text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return case when p_word ~ '^[a-z]+$' then (ts_lexize('pg_catalog.english_stem', p_word))[1] else p_word end;
comment on function private.search_stem(text) is 'The English stem of a folded word; null for a stop word.';

create or replace function private.search_places(p_text text) returns table (word text, place bigint)
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  with texts as materialized (
    select private.search_normal(p_text) as plain,
      private.search_normal(nullif(private.search_spelled(p_text), normalize(p_text, nfc))) as spelled)
  select left(w.word, 255), w.place
  from texts, lateral (
    select * from unnest(string_to_array(plain, ' ')) with ordinality as p (word, place)
    union
    select * from unnest(string_to_array(spelled, ' ')) with ordinality as s (word, place)
  ) w;
end;
comment on function private.search_places(text) is
  'The words of a text and their places; two at one place where it can be spelled in two ways.';

create or replace function private.search_vector(p_text text, p_weight "char", p_literally boolean) returns tsvector
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case
    -- Of such words Postgres' parser makes the same ones, in an eighth of the time: descriptions are long.
    when not p_literally and octet_length(p_text) = char_length(p_text)
      then setweight(to_tsvector('pg_catalog.english', private.search_normal(p_text)), p_weight)
    else (
      with words as (
        select word, place from private.search_places(p_text)
        union
        select left(j.word, 255), j.place
        from unnest(string_to_array(private.search_normal(private.search_joined(p_text)), ' '))
          with ordinality as j (word, place)
        where p_literally
      ), lexemes as (
        select private.search_stem(word) as lexeme, place from words
        union
        select word, place from words where p_literally
      )
      select coalesce(string_agg(format('''%s'':%s%s', lexeme, least(place, 16383), p_weight), ' '), '')::tsvector
      from lexemes where lexeme is not null)
  end;
end;
comment on function private.search_vector(text, "char", boolean) is
  'What is indexed of a text: stems, and with p_literally the words themselves, stop words and joined words too.';

create or replace function private.product_search(p_name text, p_search_names text, p_description text)
returns tsvector
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return private.search_vector(p_name, 'A', true)
  || format('''%s'':1A', private.search_name(p_name))::tsvector
  || private.search_vector(p_search_names, 'B', true)
  || private.search_vector(coalesce(p_description, ''), 'C', false);
comment on function private.product_search(text, text, text) is 'What is indexed of a product.';

create or replace function private.word_variants(p_word text) returns setof text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select p_word
  union
  select overlay(p_word placing '' from i for 1) from pg_catalog.generate_series(1, char_length(p_word)) i
$$;
comment on function private.word_variants(text) is 'The word, and the word with each one of its letters left out.';

create or replace function private.add_search_words(p_words text[]) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  with added as (
    insert into private.search_words (word, stem)
    select w.word, pg_catalog.array_to_tsvector(array[coalesce(private.search_stem(w.word), w.word)])
    from pg_catalog.unnest(p_words) w (word)
    where w.word ~ '^[^0-9]{4,40}$'
      and not exists (select from private.search_words s where s.word = w.word)
    on conflict do nothing
    returning word
  )
  insert into private.search_variants (variant, word)
  select v, a.word from added a cross join lateral private.word_variants(a.word) v
  on conflict do nothing
$$;
comment on function private.add_search_words(text[]) is 'Words that a mistyped search may have meant.';

revoke all on function private.word_variants(text), private.add_search_words(text[]) from public;
grant execute on function private.search_fold(text), private.search_lower(text) to anon, authenticated, service_role;

-- The column stays what it was for its readers; a trigger writes it.
alter table public.products
  -- squawk-ignore ban-drop-generated-expression
  alter column search drop expression,
  add column if not exists name_key text collate "C" not null default '';
comment on column public.products.name_key is 'Its name without case and accents, to sort by; kept by a trigger.';
comment on column public.products.search is 'The words of its name, search_names and description; kept by a trigger.';

update public.products set name_key = private.search_fold(name), search = private.product_search(name, search_names, description);

-- Words were told apart by the database's locale, with their accents.
delete from private.search_words;
select private.add_search_words(array(
  select distinct unnest(string_to_array(private.search_normal(concat_ws(' ', name, search_names, description)), ' '))
  from public.products));
