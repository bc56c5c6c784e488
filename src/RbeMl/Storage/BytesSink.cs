namespace RbeMl.Storage;

/// <summary>Receives a tensor's bytes, part by part.</summary>
internal delegate void BytesSink(ReadOnlySpan<byte> part);
