// SPDX-License-Identifier: GPL-2.0

//! Criterion benchmarks: a whole conversation, and each of its steps, from a response that was received to the next
//! request that is handed over, which is to parse the one and to encode the other.

use criterion::{
    criterion_group,
    criterion_main,
    Criterion, //
};
use spdm_bench::{
    Moment,
    Player,
    CASES, //
};
use std::time::{
    Duration,
    Instant, //
};

fn steps(criterion: &mut Criterion) {
    let pki = std::env::var("PKI").expect("PKI is the directory of keys and certificates");
    for case in &CASES {
        let mut player = Player::record(case, pki.as_ref()).expect("a recording");
        let mut group = criterion.benchmark_group(case.name);
        group.bench_function("conversation", |bencher| {
            bencher.iter(|| player.play(|_, _| ()).expect("what was recorded"));
        });
        let mut requests = player.requests();
        requests.push("verdict".to_owned());
        // Step n ends with request n.
        for (step, request) in requests.iter().enumerate() {
            let from = match step.checked_sub(1) {
                Some(before) => format!("response to {}", requests[before]),
                None => "start".to_owned(),
            };
            group.bench_function(format!("{step:02} {from}, then {request}"), |bencher| {
                bencher.iter_custom(|count| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..count {
                        let mut since = (step == 0).then(Instant::now);
                        let between = |number: usize, moment| match moment {
                            Moment::Request if number == step => {
                                spent +=
                                    since.take().map_or(Duration::ZERO, |since| since.elapsed());
                            }
                            Moment::Response if number + 1 == step => since = Some(Instant::now()),
                            _ => {}
                        };
                        player.play(between).expect("what was recorded");
                        spent += since.map_or(Duration::ZERO, |since| since.elapsed());
                    }
                    spent
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
