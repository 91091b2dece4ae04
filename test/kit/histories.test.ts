import { expect, test } from "vitest";
import { byteDifference, cloneDoc, difference, docVector, plainDoc } from "./compare.ts";
import { DocRoom, forSeeds, playHistory } from "./histories.ts";

test("settled histories converge: all authors show what the reference shows", () => {
  let deliveries = 0;
  let clients = 0;
  forSeeds(100, (seed) => {
    const room = new DocRoom();
    const history = playHistory(seed, { loss: seed % 3 === 0, formatCleanup: seed % 5 === 0 }, room);
    expect(byteDifference(cloneDoc(room.doc), room.doc)).toBeNull();
    if (seed % 5 !== 0 && seed % 3 !== 0) for (const author of history.authors) expect(difference(cloneDoc(author), room.doc)).toBeNull();
    deliveries += history.deliveries.length;
    clients += docVector(room.doc).size;
  });
  expect(deliveries).toBeGreaterThan(1000);
  expect(clients).toBeGreaterThan(200);
});

test("the same seed gives the same history", () => {
  const bytes = (seed: number): string[] => playHistory(seed).deliveries.map((delivery) => Buffer.from(delivery.update).toString("hex"));
  expect(bytes(7)).toEqual(bytes(7));
  expect(bytes(7)).not.toEqual(bytes(8));
  expect(difference(plainDoc(playHistory(7).deliveries.map((delivery) => delivery.update)), plainDoc())).not.toBeNull();
});
