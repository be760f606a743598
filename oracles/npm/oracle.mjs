// Asks the libraries that senders publish for npm. One JSON object a line in, one a line out:
// {"do": "sign" or "verify", "kind", ...} -> {"headers"} or {"ok"} or {"error"}.
import { createInterface } from "node:readline";
import https from "node:https";
import { Readable } from "node:stream";
import { sign as githubSign, verify as githubVerify } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import twilio from "twilio";
import { verifyKey } from "discord-interactions";
import { EventWebhook } from "@sendgrid/eventwebhook";
import SnsValidator from "sns-validator";
import * as ed from "@noble/ed25519";
import "@shopify/shopify-api/adapters/node";
import { shopifyApi } from "@shopify/shopify-api";

const hex = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const form = (body) => {
  const found = {};
  for (const [name, value] of new URLSearchParams(body)) {
    if (name in found) found[name] = [].concat(found[name], value);
    else found[name] = value;
  }
  return found;
};

const oracles = {
  github: {
    sign: async (a) => ({ "x-hub-signature-256": await githubSign(a.secret, a.body) }),
    verify: (a) => githubVerify(a.secret, a.body, a.headers["x-hub-signature-256"]),
  },
  "standard-webhooks": {
    sign: (a) => {
      const at = new Date(a.at_s * 1000);
      return {
        "webhook-id": "msg_1",
        "webhook-timestamp": String(a.at_s),
        "webhook-signature": new Webhook(a.secret).sign("msg_1", at, a.body),
      };
    },
    verify: (a) => {
      new Webhook(a.secret).verify(a.body, a.headers);
      return true;
    },
  },
  "standard-webhooks-v1a": {
    sign: async (a) => {
      const signed = new TextEncoder().encode(`msg_1.${a.at_s}.${a.body}`);
      const raw = await ed.signAsync(signed, hex(a.private));
      return {
        "webhook-id": "msg_1",
        "webhook-timestamp": String(a.at_s),
        "webhook-signature": "v1a," + Buffer.from(raw).toString("base64"),
      };
    },
    verify: async (a) => {
      const signed = new TextEncoder().encode(`msg_1.${a.headers["webhook-timestamp"]}.${a.body}`);
      const raw = Buffer.from(a.headers["webhook-signature"].slice(4), "base64");
      return ed.verifyAsync(Uint8Array.from(raw), signed, await ed.getPublicKeyAsync(hex(a.private)));
    },
  },
  stripe: {
    sign: (a) => ({
      "stripe-signature": Stripe.webhooks.generateTestHeaderString({
        payload: a.body,
        secret: a.secret,
        timestamp: a.at_s,
      }),
    }),
    verify: (a) => {
      Stripe.webhooks.signature.verifyHeader(a.body, a.headers["stripe-signature"], a.secret, 300);
      return true;
    },
  },
  twilio: {
    sign: (a) => ({ "x-twilio-signature": twilio.getExpectedTwilioSignature(a.secret, a.url, form(a.body)) }),
    verify: (a) => twilio.validateRequest(a.secret, a.headers["x-twilio-signature"], a.url, form(a.body)),
  },
  shopify: {
    verify: async (a) => {
      const shopify = shopifyApi({
        apiKey: "k",
        apiSecretKey: a.secret,
        scopes: [],
        hostName: "hooks.example.com",
        apiVersion: "2025-07",
        isEmbeddedApp: false,
        logger: { log: () => {} },
      });
      const headers = {
        "X-Shopify-Hmac-Sha256": a.headers["x-shopify-hmac-sha256"],
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-API-Version": "2025-07",
        "X-Shopify-Shop-Domain": "a.myshopify.com",
        "X-Shopify-Webhook-Id": "1",
      };
      const request = Object.assign(Readable.from([]), { method: "POST", url: "/", headers });
      const found = await shopify.webhooks.validate({ rawBody: a.body, rawRequest: request, rawResponse: {} });
      return found.valid;
    },
  },
  discord: {
    verify: (a) =>
      verifyKey(a.body, a.headers["x-signature-ed25519"], a.headers["x-signature-timestamp"], a.secret),
  },
  sendgrid: {
    verify: (a) => {
      const webhook = new EventWebhook();
      const prefix = "x-twilio-email-event-webhook-";
      const key = webhook.convertPublicKeyToECDSA(a.secret);
      return webhook.verifySignature(key, a.body, a.headers[`${prefix}signature`], a.headers[`${prefix}timestamp`]);
    },
  },
  "aws-sns": {
    verify: (a) =>
      new Promise((resolve, reject) => {
        // The certificate is a test's, so it is handed over where it would be fetched.
        https.get = (url, done) => {
          const answer = Readable.from([a.certificate]);
          answer.statusCode = 200;
          done(answer);
          return { on: () => {} };
        };
        new SnsValidator().validate(JSON.parse(a.body), (error) => (error ? reject(error) : resolve(true)));
      }),
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  let said;
  try {
    const found = await oracles[ask.kind][ask.do](ask);
    said = ask.do === "sign" ? { headers: found } : { ok: found === true };
  } catch (error) {
    said = { ok: false, error: String(error.message ?? error) };
  }
  process.stdout.write(JSON.stringify(said) + "\n");
}
