// Cursors: the texts by which a client asks for what comes after a position. Opaque, and safe in a URL.

const errors = require("./errors");

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const SEAL = 4;

exports.write = function (position) {
  const raw = bytes(JSON.stringify(position));
  return base64(seal(raw) + raw);
};

// The position that `write` made a text of; throws for any other text, and for elements of other types than `types`.
exports.read = function (text, types) {
  let position;
  try {
    position = JSON.parse(characters(unbase64(text).slice(SEAL)));
  } catch (error) {
    position = []; // which no cursor stands for
  }
  if (!fits(position, types) || exports.write(position) !== text) {
    throw errors.badRequest("cursor: is not one that this server gave for this list");
  }
  return position;
};

function fits(position, types) {
  return (
    Array.isArray(position) &&
    position.length === types.length &&
    types.every((type, place) => typeof position[place] === type)
  );
}

// Four bytes that tell a cursor from other text (FNV-1a). Who makes one up gets a page that he may see anyway.
function seal(raw) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < raw.length; at++) {
    hash = Math.imul(hash ^ raw.charCodeAt(at), 0x01000193);
  }
  return String.fromCharCode(hash >>> 24, (hash >>> 16) & 255, (hash >>> 8) & 255, hash & 255);
}

// A text's UTF-8, as a text that has a character for each byte.
function bytes(text) {
  return encodeURIComponent(text).replace(/%(..)/g, (all, hex) => String.fromCharCode(parseInt(hex, 16)));
}

function characters(raw) {
  return decodeURIComponent(raw.replace(/[^]/g, (byte) => "%" + byte.charCodeAt(0).toString(16).padStart(2, "0")));
}

function base64(raw) {
  let text = "";
  for (let at = 0; at < raw.length; at += 3) {
    const [one, two, three] = [raw.charCodeAt(at), raw.charCodeAt(at + 1), raw.charCodeAt(at + 2)];
    text += DIGITS[one >> 2] + DIGITS[((one & 3) << 4) | (two >> 4)];
    text += DIGITS[((two & 15) << 2) | (three >> 6)] + DIGITS[three & 63];
  }
  return text.slice(0, Math.ceil((raw.length * 4) / 3));
}

function unbase64(text) {
  let raw = "";
  let bits = 0;
  for (let at = 0; at < text.length; at++) {
    bits = (bits << 6) | DIGITS.indexOf(text[at]);
    const left = 6 - 2 * (at % 4); // how many bits are in hand once a byte is taken from them
    if (at % 4) {
      raw += String.fromCharCode((bits >> left) & 255);
    }
  }
  return raw;
}
