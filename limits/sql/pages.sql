-- name: volume_history
-- Used and reserved of the email volume in these periods, and what was accepted over it in the present one.
SELECT counter.period_start, counter.used, counter.reserved, accepted.messages, accepted.amount
FROM limits_usagecounter counter
LEFT JOIN LATERAL (
    SELECT sum(reservation.overage_quantity)::bigint AS messages, sum(reservation.overage_amount) AS amount
    FROM limits_reservation reservation
    JOIN limits_reservationline line ON line.reservation_id = reservation.id
    WHERE reservation.pool = counter.pool AND reservation.state IN ('held', 'settled')
      AND line.limit_key = counter.limit_key AND line.period_start = counter.period_start
) accepted ON counter.period_start = %(present)s
WHERE counter.pool = %(pool)s AND counter.limit_key = %(key)s AND counter.period_start = ANY(%(starts)s);
