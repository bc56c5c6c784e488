namespace RbeMl.Files;

/// <summary>A tensor found in a safetensors file.</summary>
/// <param name="Name">Unique name.</param>
/// <param name="Element">Element type.</param>
/// <param name="Shape">Sides, outermost first; none for a single value.</param>
/// <param name="Offset">First byte, from the start of the file.</param>
/// <param name="ByteLength">Bytes.</param>
internal sealed record SafetensorsTensor(string Name, SafetensorsElement Element, IReadOnlyList<long> Shape, long Offset, long ByteLength)
{
    /// <summary>Elements.</summary>
    public long Count => (long)((Int128)ByteLength * 8 / SafetensorsElements.Bits(Element));

    /// <summary>Type and shape, e.g. <c>F32 [2, 300]</c>.</summary>
    public string Describe() => $"{SafetensorsElements.Name(Element)} [{string.Join(", ", Shape)}]";
}
