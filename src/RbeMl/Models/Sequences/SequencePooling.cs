using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>Pooling of a sequence's tokens in a panel, and its backward. Sums are in the order of the tokens, wherever in the panel they lie.</summary>
internal static unsafe class SequencePooling
{
    /// <summary>row[f] = the pooled feature f of tokens first .. first + length - 1.</summary>
    /// <param name="x">The panel.</param>
    /// <param name="first">First token of the sequence in the panel.</param>
    /// <param name="length">Its tokens, padding not counted.</param>
    /// <param name="pooling">How.</param>
    /// <param name="row">[D], written.</param>
    /// <param name="places">[D], written for <see cref="Pooling.Max"/>: the token of each largest value, the first of equals; null when not needed.</param>
    public static void Forward<T>(Panel<T> x, int first, int length, Pooling pooling, T* row, int* places)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int lanes = x.Lanes, features = x.Features;
        switch (pooling)
        {
            case Pooling.Mean or Pooling.Max:
                break;
            case Pooling.Last:
                (first, length) = (first + length - 1, 1);
                break;
            case Pooling.First:
                length = 1;
                break;
            default:
                throw new InvalidSettingException(nameof(pooling), pooling, "it is not computed here.");
        }

        for (int done = 0; done < length;)
        {
            (int chunk, int lane) = Math.DivRem(first + done, lanes);
            int count = Math.Min(lanes - lane, length - done);
            T* block = x.Chunk(chunk) + lane;
            for (int f = 0; f < features; f++, block += lanes)
            {
                T value = done == 0 ? block[0] : row[f];
                int place = done == 0 || places is null ? 0 : places[f];
                for (int i = done == 0 ? 1 : 0; i < count; i++)
                {
                    if (pooling == Pooling.Mean) value += block[i];
                    else if (block[i] > value || T.IsNaN(block[i])) (value, place) = (block[i], done + i);
                }

                row[f] = value;
                if (places is not null) places[f] = place;
            }

            done += count;
        }

        if (pooling != Pooling.Mean) return;
        T n = T.CreateTruncating(length);
        for (int f = 0; f < features; f++) row[f] /= n;
    }

    /// <summary>block[f][lane] = gradient of token <paramref name="token"/> of a sequence, 0 for padding.</summary>
    /// <param name="gradient">[D], of the pooled row.</param>
    /// <param name="places">Of <see cref="Forward"/>.</param>
    /// <param name="pooling">How.</param>
    /// <param name="token">Place in the sequence.</param>
    /// <param name="length">Tokens of the sequence.</param>
    /// <param name="features">D.</param>
    /// <param name="block">First feature of the token's lane, written.</param>
    /// <param name="width">Elements from feature to feature.</param>
    public static void Backward<T>(T* gradient, int* places, Pooling pooling, int token, int length, int features, T* block, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T n = T.CreateTruncating(length);
        for (int f = 0; f < features; f++)
        {
            block[(long)f * width] = pooling switch
            {
                Pooling.Mean => token < length ? gradient[f] / n : T.Zero,
                Pooling.Last => token == length - 1 ? gradient[f] : T.Zero,
                Pooling.First => token == 0 ? gradient[f] : T.Zero,
                Pooling.Max => token == places[f] ? gradient[f] : T.Zero,
                _ => throw new InvalidSettingException(nameof(pooling), pooling, "it is not computed here."),
            };
        }
    }
}
