using System.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// Keys or values of one head in a cache: codes <c>[feature][stride]</c> of a format and, for <see cref="KvFormat.Int8"/>, a scale a position.
/// The stride is a multiple of 16, so that a group of positions may be read whole.
/// </summary>
/// <param name="Format">Format of the codes.</param>
/// <param name="Codes">First code; 16-byte aligned.</param>
/// <param name="Scales"><c>[stride]</c>; null but for Int8.</param>
/// <param name="Stride">Elements from one feature to the next.</param>
internal readonly unsafe record struct KvRows(KvFormat Format, nint Codes, nint Scales, int Stride)
{
    /// <summary>Bytes of one code.</summary>
    public static int SizeOf(KvFormat format) => format switch { KvFormat.F16 => sizeof(ushort), KvFormat.Int8 => sizeof(sbyte), _ => sizeof(float) };

    /// <summary>The value of one feature and position: the plain reading that the fast ones are checked with.</summary>
    public T Value<T>(int feature, int position)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        long index = ((long)feature * Stride) + position;
        return Format switch
        {
            KvFormat.F16 => T.CreateTruncating(BitConverter.UInt16BitsToHalf(((ushort*)Codes)[index])),
            KvFormat.Int8 => T.CreateTruncating(((sbyte*)Codes)[index] * ((float*)Scales)[position]),
            _ => ((T*)Codes)[index],
        };
    }
}
