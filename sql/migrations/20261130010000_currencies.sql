-- All currencies of ISO 4217; those that are known already stay.
insert into public.currencies (code, exponent)
select code, 0 from unnest(array[
  'BIF', 'DJF', 'GNF', 'KMF', 'PYG', 'RWF', 'UGX', 'UYI', 'VUV', 'XAF', 'XOF', 'XPF']) code
union all select code, 2 from unnest(array[
  'AFN', 'ALL', 'AMD', 'ANG', 'AOA', 'ARS', 'AWG', 'AZN', 'BAM', 'BBD', 'BDT', 'BGN', 'BMD', 'BND', 'BOB', 'BOV',
  'BSD', 'BTN', 'BWP', 'BYN', 'BZD', 'CDF', 'CHE', 'CHW', 'COP', 'COU', 'CRC', 'CUP', 'CVE', 'DOP', 'DZD', 'EGP',
  'ERN', 'ETB', 'FJD', 'FKP', 'GEL', 'GHS', 'GIP', 'GMD', 'GTQ', 'GYD', 'HNL', 'HTG', 'IDR', 'IRR', 'JMD', 'KES',
  'KGS', 'KHR', 'KPW', 'KYD', 'KZT', 'LAK', 'LBP', 'LKR', 'LRD', 'LSL', 'MAD', 'MDL', 'MGA', 'MKD', 'MMK', 'MNT',
  'MOP', 'MRU', 'MUR', 'MVR', 'MWK', 'MXV', 'MZN', 'NAD', 'NGN', 'NIO', 'NPR', 'PAB', 'PEN', 'PGK', 'PKR', 'QAR',
  'RSD', 'RUB', 'SBD', 'SCR', 'SDG', 'SHP', 'SLE', 'SOS', 'SRD', 'SSP', 'STN', 'SVC', 'SYP', 'SZL', 'TJS', 'TMT',
  'TOP', 'TTD', 'TZS', 'UAH', 'USN', 'UYU', 'UZS', 'VED', 'VES', 'WST', 'XCD', 'XCG', 'YER', 'ZMW', 'ZWG']) code
union all select code, 3 from unnest(array[
  'IQD', 'LYD']) code
union all select code, 4 from unnest(array[
  'CLF', 'UYW']) code
on conflict do nothing;
