-- name: current()
-- The version that the API serves, and the revision of what is known of it.
select instrument, version, revision from public.quiz_versions where is_current

-- name: read(instrument, version)
-- All of a version, of one snapshot.
select v.instrument, v.version, v.revision, v.is_current, v.lowest, v.highest, v.min_answers, v.source,
  coalesce((
    select jsonb_agg(jsonb_build_object('name', t.trait, 'min_answers', t.min_answers) order by t.position)
    from public.quiz_traits t where (t.instrument, t.version) = (v.instrument, v.version)), '[]') as traits,
  coalesce((
    select jsonb_agg(jsonb_build_object('code', q.code, 'trait', q.trait, 'is_reversed', q.is_reversed,
      'weight', q.weight, 'is_short', q.is_short) order by q.position)
    from public.quiz_questions q where (q.instrument, q.version) = (v.instrument, v.version)), '[]') as questions,
  private.norms_of(v.instrument, v.version) as norms,
  coalesce((
    select jsonb_agg(jsonb_build_object('locale', x.locale, 'code', x.code, 'text', x.text))
    from public.quiz_texts x where (x.instrument, x.version) = (v.instrument, v.version)), '[]') as texts
from public.quiz_versions v
where v.instrument = :instrument::text and v.version = :version::text

-- name: newest(instrument)
-- The version of an instrument that people take, or else the last that was loaded.
select version from public.quiz_versions where instrument = :instrument::text
order by is_current desc, created_at desc, version desc limit 1

-- name: add_version(instrument, version, lowest, highest, min_answers, source)
insert into public.quiz_versions (instrument, version, lowest, highest, min_answers, source)
values (:instrument, :version, :lowest, :highest, :min_answers, :source)

-- name: add_trait(instrument, version, trait, position, min_answers)
insert into public.quiz_traits (instrument, version, trait, position, min_answers)
values (:instrument, :version, :trait, :position, :min_answers)

-- name: add_question(instrument, version, code, position, trait, is_reversed, weight, is_short)
insert into public.quiz_questions (instrument, version, code, position, trait, is_reversed, weight, is_short)
values (:instrument, :version, :code, :position, :trait, :is_reversed, :weight, :is_short)

-- name: store_text(instrument, version, locale, code, text)
insert into public.quiz_texts as t (instrument, version, locale, code, text)
values (:instrument, :version, :locale, :code, :text)
on conflict (instrument, version, locale, code) do update set text = excluded.text where t.text <> excluded.text

-- name: forget_norms(instrument, version)
delete from private.quiz_norms where instrument = :instrument and version = :version

-- name: add_norm(instrument, version, trait, form, n, is_provisional, mean, sd, alpha, percentiles, errors, means, covariance, source)
insert into private.quiz_norms (instrument, version, trait, form, n, is_provisional, mean, sd, alpha, percentiles,
  errors, item_means, item_covariance, source)
values (:instrument, :version, :trait, :form, :n, :is_provisional, :mean, :sd, :alpha, :percentiles::jsonb,
  :errors::jsonb, :means::jsonb, :covariance::jsonb, :source)

-- name: lock()
-- One command changes instruments at a time, until the end of the transaction.
select pg_advisory_xact_lock(hashtext('aclue.instruments'))

-- name: retire()
update public.quiz_versions set is_current = false where is_current

-- name: activate(instrument, version)
update public.quiz_versions set is_current = true where instrument = :instrument and version = :version

-- name: has_shipped_current()
-- Whether an administrator's version is not the current one: then a release may bring its own.
select not exists (select from public.quiz_versions where is_current and source = 'admin')

-- name: full_assessments(instrument, version, questions, min_quality)
-- As the owner, for norms: the newest full assessment of each person who allows analytics and personalisation, with the
-- answers in the order of the questions and nothing of the person.
select array(select (n.answers ->> code)::int from unnest(:questions::text[]) with ordinality q (code, i) order by i) as answers
from (
  select distinct on (h.user_id) h.user_id, h.id, h.assessment_data -> 'answers' as answers
  from public.personality_assessment_history h
  where h.assessment_method = 'quiz' and h.assessment_data ->> 'version' = :version::text
    and coalesce(h.assessment_data ->> 'instrument', 'aclue-gifts') = :instrument::text
    and h.assessment_quality_score >= :min_quality::double precision
    and h.assessment_data -> 'answers' ?& :questions::text[]
  order by h.user_id, h.assessment_timestamp desc, h.id desc
) n
where private.has_consent(n.user_id, 'analytics') and private.has_consent(n.user_id, 'personalisation')
order by n.id
